# find, xargs, awk, sed, and archives through chains of compressors.
mkdir -p /tmp/tree/a/b/c /tmp/tree/d
for n in $(seq 1 40); do seq 1 $n >/tmp/tree/a/b/$n.txt; done
cp /usr/bin/mawk /tmp/tree/d/binary
touch -d 2000-01-01 /tmp/tree/a/b/1.txt
ln -s ../d/binary /tmp/tree/a/link; ln /tmp/tree/a/b/7.txt /tmp/tree/d/hard
find /tmp/tree -type f | sort | tail -n 5
find /tmp/tree -name '*.txt' -size +0 -newer /tmp/tree/a/b/1.txt -o -type l | sort | wc -l
find /tmp/tree -name '*.txt' -exec grep -l '^39$' {} + | sort
find /tmp/tree -links 2 -type f | sort
find /tmp/tree/a/b -name '*.txt' | sort | xargs -n 5 -P 4 sh -c 'cat "$@" | wc -l' _ | sort -n
find /tmp/tree/a/b -name '*.txt' -print0 | xargs -0 -P 3 -n 1 sed -i 's/^1$/one/'
cat /tmp/tree/a/b/*.txt | mawk '{ n[$1]++ } END { for (k in n) print n[k], k }' | sort -rn | head -n 3
seq 1 5000 | mawk '$1 % 7 == 0 { s += $1 } END { print s; print length(sprintf("%1000s", "")) ; while (("echo sub" | getline x) > 0) print x }'
seq 1 10 | sed -n '2~3{s/^/x/;p}; $!{h}; ${G;p}'
tar -C /tmp -cf - --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner tree | sha256sum
tar -C /tmp -cf - tree | xz -T1 -1 | gzip -1 | gunzip | xz -d | tar -tf - | sort | wc -l
tar -C /tmp -cJf /tmp/all.tar.xz tree && mkdir /tmp/again && tar -C /tmp/again -xJf /tmp/all.tar.xz
diff -r /tmp/tree /tmp/again/tree 2>/dev/null || (cd /tmp/again/tree && find . -type f | sort | xargs sha256sum)
gzip -9 -n -c /tmp/tree/d/binary | sha256sum
tar -C /tmp -czf /tmp/all.tgz tree && tar -xzOf /tmp/all.tgz tree/a/b/40.txt | tail -n 1
rm -r /tmp/tree; ls /tmp | sort
