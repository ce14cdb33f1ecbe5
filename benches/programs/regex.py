# Alternatives and repetitions over a text that is made here.
import re

text = " ".join(f"{n % 97}-{n * 7919 % 1000:03}@host{n % 13}.example" for n in range(60000))
found = 0
for pattern in (r"\b\d+-\d{3}@host(?:1|3|5)\.example\b", r"(\d)\1", r"[a-m]+st1[0-2]?\."):
    for _ in range(4):
        found += sum(1 for _ in re.finditer(pattern, text))
print(found)
