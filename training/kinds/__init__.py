"""How a model of each kind (see ``models.kinds``) is measured: one file per kind."""
