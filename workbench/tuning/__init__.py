"""Fine-tuning: adapters, training data, and training as a job."""
