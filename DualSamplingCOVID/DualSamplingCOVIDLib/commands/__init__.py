"""One file a subcommand: each registers its arguments and runs."""
