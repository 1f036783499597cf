"""What a person reads of a diagnosis: the paper's Fig. 5 for one CT (`figure`) and one self-contained page (`html`).

`planes` cuts the patient's axial and coronal plane out of any volume.
"""
