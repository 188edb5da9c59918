"""The sentences about decisions: why an action is chosen, and what rules out the others."""

from models.decisions.case import Terms
from models.texts import DEFAULT, Table, say

TEXTS: Table = {
    "en": {
        "consent": "the customer has not agreed to be contacted this way",
        "frequency_cap": "the customer has had {n} contacts in 28 days, the most allowed",
        "frequency_cap.one": "the customer has had a contact in 28 days, the most allowed",
        "frequency_cap.none": "the shop allows no contact in 28 days",
        "held_out": "the customer is held out, to measure what contacts earn",
        "open_return": "a return of the customer's is still open",
        "not_meant": "the action is meant for other customers (by risk, orders or worth)",
        "weekly_cap": "the customer has had {n} contacts in 7 days, the most allowed",
        "weekly_cap.one": "the customer has had a contact in 7 days, the most allowed",
        "weekly_cap.none": "the shop allows no contact in 7 days",
        "settling": "what the customer ordered has not arrived yet, or has only just arrived",
        "first_order_coupon": "it is too soon after the first order for a discount",
        "cooldown": "the customer has had this action too recently",
        "too_early": "it is too early for this action: the event it depends on (an order, a delivery, a "
        "birthday) is too recent, still ahead, or unknown",
        "too_late": "it is too late for this action: the event it depends on (an order, a delivery, a "
        "birthday) is too long ago",
        "cannot_know": "its price or its chance is unknown, so what it would earn cannot be known",
        "hidden": "the shop hides it",
        "out_of_stock": "it is out of stock",
        "just_bought": "the customer bought it within the last {n} days",
        "just_bought.one": "the customer bought it within the last day",
        "just_bought.none": "the customer has only just bought it",
        "same_kind": "the customer has just bought something of its kind",
        "of_product": "{name}: {chance:.0%} chance of being bought within {n} days; {effect}, {earns}",
        "of_product.one": "{name}: {chance:.0%} chance of being bought within a day; {effect}, {earns}",
        "of_contact": "{action}: {chance:.0%} chance of an order within {n} days; {effect}, {earns}",
        "of_contact.one": "{action}: {chance:.0%} chance of an order within a day; {effect}, {earns}",
        "effect_of_product": "if offering it raises that by {share:.0%} of itself (assumed)",
        "effect_of_contact": "if it moves {share:.0%} of those who would not order (assumed)",
        "effect_learnt": "by the effect learnt from an experiment",
        "amount": "{money:+.2f} {currency}",
        "earns": "{money} of margin after {cost:.2f} for the contact",
        "earns_discounted": "{money} of margin after {cost:.2f} for the contact and {off:.0%} off",
        "better_nothing": "doing nothing earns more than the best option, {best}",
        "nothing": "nothing to offer: {why}",
        "no_candidates": "no candidate products are known for this customer",
        "all_refused": "all {n} options are ruled out: {why}",
        "no_orders": "{who}, and what a contact would earn is known only of those who ordered",
        "not_worth": "no permitted action earns more than it costs, or no day is left for it",
        "tried": "{action}, tried to learn what it is worth ({how})",
        "learnt": "what a contact changes was learnt from customers who were held out",
        "learnt_average": "what a contact changes was learnt from customers who were held out: {value:+.1f} "
        "percentage points on average ({low:+.1f} to {high:+.1f})",
        "learnt_perhaps_none": "what a contact changes was learnt from customers who were held out: "
        "{value:+.1f} percentage points on average ({low:+.1f} to {high:+.1f}), which may be no effect at "
        "all",
        "assumed": "a contact is assumed to keep {share:.0%} of those who would leave",
        "targets": "{n:,} of {of:,} customers worth a contact fit the budget; {effect}",
        "targets.one": "1 of {of:,} customers worth a contact fits the budget; {effect}",
        "targets_nobody": "no customer who may be contacted is worth a contact; {effect}",
        "targets_by_action": "{n:,} customers, each with the action that earns most for the budget; this is "
        "at least {share:.2%} of what the best choice could be expected to earn",
        "targets_by_action.one": "1 customer, with the action that earns most for the budget; this is at "
        "least {share:.2%} of what the best choice could be expected to earn",
        "unranked": "churn and ltv are not both in service yet, so nobody can be ranked",
        "moneyless": "what a customer is worth is not known: it takes order lines with a unit_price",
        "planned": "{action}: {money} of margin after its cost",
        "plan_full": "every day left in the plan is full, or others earn more within its budget and number",
        "in_next_plan": "{who}: plans contain them from the next scoring on, /next_best_offer answers now",
        "new": "the customer is new since the scoring",
        "unknown": "the customer is unknown",
        "no_chances": "{who}: their chances are not known",
        "no_scores": "{who}: their scores are not known yet",
        "too_old": "the scoring is of {scored}, too old for what was ordered on {ordered}: after {days} days "
        "nobody is refreshed, features and scores stay as they are. Hint: ingest the orders since, then "
        "`recompra score`",
        "products_off": "actions with a product are switched off: {why}",
        "contacts_off": "actions without a product are switched off: {why}",
        "no_offers": "{why}, and contacts without a product need both churn and ltv, in money",
        "no_next_best_offer": "no next_best_offer model serves",
        "no_churn": "no churn model serves",
        "no_ltv": "no ltv model serves",
        "no_churn_ltv": "no churn and no ltv models serve",
        "no_cross_sell": "no cross_sell model serves, so there are no calibrated chances to offer by",
        "experiment": "an effect called assumed is taken from recompra.toml; to measure it, {proposal}: "
        "{how}",
        "experiment_too_small": "an effect called assumed is taken from recompra.toml; this shop has too "
        "few customers to measure it at once: {proposal}; to try, {how}",
        "held_out_already": "{share:.0%} are held out already",
        "hold_out": "set held_out_share in [contact_policy]",
        "action_offer": "offer",
        "action_cross_sell": "cross-sell",
        "action_upsell": "upsell",
        "action_replenishment": "replenishment",
        "action_flash_sale": "flash sale",
        "action_win_back": "win-back",
        "action_win_back_discount": "win-back with a discount",
        "action_loyalty_reward": "loyalty reward",
        "action_thank_you": "thank-you",
        "action_survey": "survey",
        "action_review_request": "review request",
        "action_birthday": "birthday",
        "action_nothing": "nothing",
    },
    "pt": {
        "consent": "o cliente não autorizou contatos por este canal",
        "frequency_cap": "o cliente já recebeu {n} contatos em 28 dias, o máximo permitido",
        "frequency_cap.one": "o cliente já recebeu um contato em 28 dias, o máximo permitido",
        "frequency_cap.none": "a loja não permite nenhum contato em 28 dias",
        "held_out": "o cliente está no grupo de controle, que mede quanto os contatos rendem",
        "open_return": "o cliente tem uma devolução em aberto",
        "not_meant": "a ação é voltada a outros clientes (por risco, pedidos ou valor)",
        "weekly_cap": "o cliente já recebeu {n} contatos em 7 dias, o máximo permitido",
        "weekly_cap.one": "o cliente já recebeu um contato em 7 dias, o máximo permitido",
        "weekly_cap.none": "a loja não permite nenhum contato em 7 dias",
        "settling": "o que o cliente pediu ainda não chegou, ou acabou de chegar",
        "first_order_coupon": "a primeira compra é recente demais para um desconto",
        "cooldown": "o cliente recebeu esta ação há pouco tempo",
        "too_early": "é cedo para esta ação: o evento de que ela depende (um pedido, uma entrega, um "
        "aniversário) é recente demais, ainda está por vir ou não se conhece",
        "too_late": "é tarde para esta ação: o evento de que ela depende (um pedido, uma entrega, um "
        "aniversário) já passou há tempo demais",
        "cannot_know": "não se conhece o preço ou a chance, e por isso não se sabe quanto renderia",
        "hidden": "a loja o mantém oculto",
        "out_of_stock": "está sem estoque",
        "just_bought": "o cliente o comprou nos últimos {n} dias",
        "just_bought.one": "o cliente o comprou no último dia",
        "just_bought.none": "o cliente acabou de comprá-lo",
        "same_kind": "o cliente acabou de comprar algo do mesmo tipo",
        "of_product": "{name}: {chance:.0%} de chance de ser comprado em {n} dias; {effect}, {earns}",
        "of_product.one": "{name}: {chance:.0%} de chance de ser comprado em um dia; {effect}, {earns}",
        "of_contact": "{action}: {chance:.0%} de chance de pedido em {n} dias; {effect}, {earns}",
        "of_contact.one": "{action}: {chance:.0%} de chance de pedido em um dia; {effect}, {earns}",
        "effect_of_product": "supondo que a oferta eleve essa chance em {share:.0%} (aumento relativo)",
        "effect_of_contact": "supondo que convença {share:.0%} de quem não compraria",
        "effect_learnt": "com o efeito medido em um experimento",
        "amount": "{money:+.2f} {currency}",
        "earns": "{money} de margem, já descontado o contato ({cost:.2f})",
        "earns_discounted": "{money} de margem, já descontados o contato ({cost:.2f}) e {off:.0%} de "
        "desconto",
        "better_nothing": "não fazer nada rende mais do que a melhor opção, {best}",
        "nothing": "nada a oferecer: {why}",
        "no_candidates": "não se conhecem produtos candidatos para este cliente",
        "all_refused": "todas as {n} opções estão descartadas: {why}",
        "no_orders": "{who}, e só se sabe quanto um contato renderia com quem já comprou",
        "not_worth": "nenhuma ação permitida rende mais do que custa, ou não resta dia para ela",
        "tried": "{action}, em teste para saber quanto rende ({how})",
        "learnt": "o efeito do contato foi medido com um grupo de controle",
        "learnt_average": "o efeito do contato foi medido com um grupo de controle: {value:+.1f} pontos "
        "percentuais em média ({low:+.1f} a {high:+.1f})",
        "learnt_perhaps_none": "o efeito do contato foi medido com um grupo de controle: {value:+.1f} "
        "pontos percentuais em média ({low:+.1f} a {high:+.1f}), o que pode significar efeito nenhum",
        "assumed": "supõe-se que um contato retenha {share:.0%} de quem deixaria de comprar",
        "targets": "{n:,} de {of:,} clientes que valem um contato cabem no orçamento; {effect}",
        "targets.one": "1 de {of:,} clientes que valem um contato cabe no orçamento; {effect}",
        "targets_nobody": "nenhum cliente que pode receber um contato vale o seu custo; {effect}",
        "targets_by_action": "{n:,} clientes, cada um com a ação que mais rende dentro do orçamento; isso é "
        "pelo menos {share:.2%} do que se poderia esperar da melhor escolha",
        "targets_by_action.one": "1 cliente, com a ação que mais rende dentro do orçamento; isso é pelo "
        "menos {share:.2%} do que se poderia esperar da melhor escolha",
        "unranked": "os modelos churn e ltv ainda não estão os dois em serviço; sem eles não há "
        "classificação",
        "moneyless": "não se sabe quanto vale um cliente: faltam itens de pedido com unit_price",
        "planned": "{action}: {money} de margem, já descontado o custo",
        "plan_full": "os dias restantes do plano estão cheios, ou outros rendem mais dentro do orçamento e "
        "do limite",
        "in_next_plan": "{who}: entra nos planos após a próxima pontuação; /next_best_offer já responde",
        "new": "o cliente é novo desde a pontuação",
        "unknown": "o cliente é desconhecido",
        "no_chances": "{who}: não se conhecem suas chances",
        "no_scores": "{who}: ainda não se conhecem suas pontuações",
        "too_old": "a pontuação é de {scored}, antiga demais para o que foi pedido em {ordered}: após {days} "
        "dias ninguém mais é atualizado, e atributos e pontuações ficam como estão. Dica: rode `recompra "
        "ingest` com os pedidos feitos desde então, e depois `recompra score`",
        "products_off": "as ações com produto estão desligadas: {why}",
        "contacts_off": "as ações sem produto estão desligadas: {why}",
        "no_offers": "{why}, e contatos sem produto precisam tanto do churn quanto do ltv, em dinheiro",
        "no_next_best_offer": "nenhum modelo next_best_offer está em serviço",
        "no_churn": "nenhum modelo churn está em serviço",
        "no_ltv": "nenhum modelo ltv está em serviço",
        "no_churn_ltv": "nenhum modelo churn e nenhum modelo ltv estão em serviço",
        "no_cross_sell": "nenhum modelo cross_sell está em serviço, e sem ele não há chances calibradas",
        "experiment": "um efeito dito suposto (assumed) vem do recompra.toml; para medi-lo, {proposal}: "
        "{how}",
        "experiment_too_small": "um efeito dito suposto (assumed) vem do recompra.toml; esta loja tem "
        "poucos clientes para medi-lo de uma vez: {proposal}; para tentar, {how}",
        "held_out_already": "{share:.0%} já estão no grupo de controle",
        "hold_out": "defina held_out_share em [contact_policy]",
        "action_offer": "oferta",
        "action_cross_sell": "cross-sell",
        "action_upsell": "upsell",
        "action_replenishment": "reposição",
        "action_flash_sale": "oferta relâmpago",
        "action_win_back": "reconquista",
        "action_win_back_discount": "reconquista com desconto",
        "action_loyalty_reward": "prêmio de fidelidade",
        "action_thank_you": "agradecimento",
        "action_survey": "pesquisa",
        "action_review_request": "pedido de avaliação",
        "action_birthday": "aniversário",
        "action_nothing": "nada",
    },
}
"""The names of rules (``models.policy.rules``) are codes too, and so is ``action_`` with an action's name."""


def told(code: str, locale: str = DEFAULT, **words: object) -> str:
    """Return a sentence in a language."""
    return say(TEXTS, code, locale=locale, **words)


def reason_of(rule: str, terms: Terms, *, locale: str = DEFAULT) -> str:
    """Return why a rule refuses."""
    limits = {
        "frequency_cap": terms.economics.max_contacts_28d,
        "weekly_cap": terms.policy.max_contacts_7d,
        "just_bought": terms.just_bought_days,
    }
    return told(rule, locale, n=limits.get(rule))


def called(action: str, locale: str = DEFAULT) -> str:
    """Return an action's name in a sentence."""
    return told(f"action_{action}", locale)


def amount(money: float, terms: Terms, *, locale: str = DEFAULT) -> str:
    """Return a sum of money with its sign and, if known, its currency."""
    return told("amount", locale, money=money, currency=terms.currency).rstrip()
