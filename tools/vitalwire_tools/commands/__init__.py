"""The commands of `vitalwire board`, one small file a subject; `cli.py` puts them together."""
