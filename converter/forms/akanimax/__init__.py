"""Files of akanimax's pro_gan_pytorch."""
