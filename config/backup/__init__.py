"""One command that keeps everything, one that brings it back: the database, the lake's files, the secrets.

```
taking.py      snapshot.py (one REPEATABLE READ snapshot) → the lake's files that it names → pg_dump of it → secrets
                 → contents.py (manifest.json with the digest of every file) → fsync → renamed: now it is a backup
restoring.py   everything checked → erasures.py (whoever was erased since, from wherever it is known) → lake files
                 → a database beside the old one → switched by renaming → proof.py (erasing.py first)
```
"""
