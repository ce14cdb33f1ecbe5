# OpenSSL's hash by way of hashlib.
import hashlib

block = bytes(range(256)) * 4096
hasher = hashlib.sha256()
for _ in range(900):
    hasher.update(block)
print(hasher.hexdigest())
