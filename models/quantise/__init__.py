"""Static int8 quantisation of doorward's networks: see ../quantize.py for the command and docs/quantisation.md for the reasons."""
