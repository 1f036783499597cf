"""A diagnosis as MRML: nodes.py and colors.py fill a scene, views.py lays it out, headless.py writes it without Slicer.

The first three work on any `vtkMRMLScene`, Slicer's or one of slicer-core; nothing here is imported until it is used.
"""
