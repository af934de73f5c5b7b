"""The local stack: what stands on one machine where AWS stands in a deployment.

Nothing of the product's behaviour may live here.
"""
