"""How the embeddings of views lie to each other, for any models on one data set."""
