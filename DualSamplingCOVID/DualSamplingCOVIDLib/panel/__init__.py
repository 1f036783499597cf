"""The panel's Qt code, one class a file; nothing is imported or installed before it is used."""
