"""How good the answers are: the paper's metrics (section IV-B), its strata (Table III) and honest intervals."""
