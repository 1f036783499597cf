"""One file a subcommand (each registers its arguments and runs), what they share, and the shipped bundle's recipe."""
