"""Training, with PyTorch (`pip install qtale[train]`); nothing else in qtale imports it.

python -m qtale.train.routers      adds routers to a dense checkpoint and trains them
"""
