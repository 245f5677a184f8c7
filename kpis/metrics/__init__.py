"""Every metric that comes with the product, one module a family. Importing this package registers them."""
