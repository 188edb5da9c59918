import pytest

from features.errors import SettingsError
from features.settings import Settings


def written(folder, text):
    (folder / "recompra.toml").write_text(text)
    return folder


def test_without_a_file_the_zone_is_utc(tmp_path):
    assert Settings.load(tmp_path).timezone == "UTC"


def test_a_file_is_read_over_the_defaults_of_an_adapter(tmp_path):
    defaults = Settings(timezone="Europe/London", horizon_days=60)
    settings = Settings.load(written(tmp_path, "horizon_days = 30\n"), defaults)
    assert (settings.timezone, settings.horizon_days) == ("Europe/London", 30)


def test_an_unknown_key_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(SettingsError, match=r"time_zone.*timezone"):
        Settings.load(written(tmp_path, 'time_zone = "UTC"\n'))


def test_an_unknown_zone_says_what_a_zone_looks_like(tmp_path):
    with pytest.raises(SettingsError, match="Europe/Lisbon"):
        Settings.load(written(tmp_path, 'timezone = "Lisboa"\n'))


def test_broken_toml_names_the_file(tmp_path):
    with pytest.raises(SettingsError, match=r"recompra\.toml is not valid TOML"):
        Settings.load(written(tmp_path, "timezone = \n"))


def test_a_table_map_is_laid_over_the_adapters_table_by_table(tmp_path):
    tables = {"order_lines": {"file": "a.csv"}, "products": {"file": "b.csv"}}
    folder = written(tmp_path, "[tables.order_lines.columns]\ncustomer_id = 'kunde'\n")
    settings = Settings.load(folder, Settings.model_validate({"tables": tables}))
    assert settings.tables["order_lines"].file == "a.csv"
    assert settings.tables["order_lines"].columns == {"customer_id": "kunde"}
    assert settings.tables["products"].file == "b.csv"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[economics]\nmargin = 0.3\n",
            "economics.margin: there is no such key. Hint: the keys are contact_cost,",
        ),
        (
            "[tables.order_lines]\nfil = 'a'\n",
            "tables.order_lines.fil: .* Hint: the keys are also, columns, file",
        ),
        (
            "[economics]\nmargin_rate = 30\n",
            "economics.margin_rate: must be at most 1, found 30. Hint: correct it there",
        ),
    ],
)
def test_the_keys_named_are_those_of_the_section(tmp_path, text, told):
    with pytest.raises(SettingsError, match=told):
        Settings.load(written(tmp_path, text))
