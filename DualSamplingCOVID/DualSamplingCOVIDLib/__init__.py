"""Chest CT in, pneumonia diagnosis with its evidence out: the dual-sampling attention network.

Ouyang et al., "Dual-Sampling Attention Network for Diagnosis of COVID-19 From Community Acquired
Pneumonia", IEEE Transactions on Medical Imaging 39(8):2595-2605, 2020. Research use only.
"""

__version__ = "0.1.0"
