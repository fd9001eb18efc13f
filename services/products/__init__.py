"""The products that can be ordered: those that are shipped, and a company's own in its home's folder `products`."""

from millmark.services.products.loading import FOLDER, Catalogue, Entry

__all__ = ["FOLDER", "Catalogue", "Entry"]
