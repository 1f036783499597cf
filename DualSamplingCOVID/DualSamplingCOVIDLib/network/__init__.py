"""The 3D ResNet34 of the paper and what its last feature map says: torch only."""
