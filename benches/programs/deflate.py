# What gzip does, by zlib.
import zlib

text = b"".join(b"%d squared is %d\n" % (n, n * n) for n in range(400000))
print(len(zlib.compress(text, 6)))
