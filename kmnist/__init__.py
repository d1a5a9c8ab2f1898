"""Kuzushiji-MNIST classifiers, tracked with MLflow."""
