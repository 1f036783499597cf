"""PySide6 behind PythonQt's rules, so that a panel which breaks in Slicer breaks here first."""
