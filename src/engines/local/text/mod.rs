//! Between words and tokens: tokenizers, chat templates, sampling, and the reading of what a model writes.
