"""Who comes in, with which key, how often; and how a refusal is said."""
