#!/bin/sh
# Brings a backup back: both databases as they were, and every artifact that it has.
#   docker compose run --rm restore NAME
#
# A backup that is damaged changes nothing. Each database is filled beside the one in use and takes its place when it
# is whole; artifacts that the backup has not are left where they are.
set -eu

name=${1:-}
folder=$BACKUPS/$name
case $name in
'' | .* | */*) known= ;;
*) [ -f "$folder/SHA256SUMS" ] && known=yes || known= ;;
esac
if [ -z "$known" ]; then
    echo "restore '$name': there is no backup of that name; there are:" >&2
    ls "$BACKUPS" >&2
    exit 1
fi
if ! (cd "$folder" && sha256sum --check --quiet SHA256SUMS); then
    echo "restore $name: its files are not what they were when it was made; nothing was changed, take another" >&2
    exit 1
fi

export PGOPTIONS=--client-min-messages=warning  # that there was nothing to drop is no news
tar --extract --file="$folder/artifacts.tar" --directory="$ARTIFACTS"
for database in mlflow studies; do
    dropdb --if-exists "${database}_restored"
    createdb "${database}_restored"
    pg_restore --exit-on-error --dbname="${database}_restored" "$folder/$database.dump"
    dropdb --if-exists --force "$database"  # closes connections; who uses it opens others
    psql --quiet --dbname=postgres --command="ALTER DATABASE ${database}_restored RENAME TO $database"
done
echo "restored $name"
