#!/bin/sh
# Saves both databases and the artifacts under a name of the time, as long as the service goes on:
#   docker compose run --rm backup
#
# What refers to something is saved before it: a study knows its runs, and a run its artifacts. So whatever a backup
# speaks of is in it; what arrives meanwhile may be in it, too, and does no harm.
set -eu

if ! [ -w "$BACKUPS" ]; then
    echo "no backup: $(id -u) must own the folder of backups; on the machine: chown $(id -u) BACKUP_DIR" >&2
    exit 1
fi
name=$(date -u +%Y-%m-%dT%H-%M-%SZ)
folder=$BACKUPS/.$name  # hidden until it is whole
mkdir "$folder"
trap 'rm -rf "$folder"' EXIT

pg_dump --format=custom --file="$folder/studies.dump" studies
pg_dump --format=custom --file="$folder/mlflow.dump" mlflow
# 1: a file changed while it was read, which none does that the databases above speak of as finished.
tar --create --file="$folder/artifacts.tar" --directory="$ARTIFACTS" . || [ $? -eq 1 ]
(cd "$folder" && sha256sum -- *.dump *.tar > SHA256SUMS)

mv "$folder" "$BACKUPS/$name"
echo "backup $name: $(du -sh "$BACKUPS/$name" | cut -f1)"
echo "bring it back with: docker compose run --rm restore $name"
