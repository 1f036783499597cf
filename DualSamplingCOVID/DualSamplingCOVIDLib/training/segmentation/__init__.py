"""Teaching VB-Net from phantoms: cases on the working grid, patches as a scanner might show them, and the fit."""
