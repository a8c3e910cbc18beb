"""Joinery: node autoscaling for self-managed kubeadm clusters on EC2."""

__version__ = "0.1.0"
