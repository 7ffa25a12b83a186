"""Tensors in, named terms out: distances, the JEPA objective, loss dropout, monitors."""
