"""What users write and read: the manifest's models, its checks, and the CRD generated from them."""
