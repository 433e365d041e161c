"""Files of the official TensorFlow releases, and of ProGAN's in Theano."""
