"""How one network learns: samplers, the loss, fitting and cross-validation."""
