"""The application's side of Slicer: `slicer.app`, modules, layout and views, as far as a panel sees them."""
