-- Run once by the PostgreSQL image, when its volume is empty. The database "mlflow" it makes itself (POSTGRES_DB).
CREATE DATABASE studies;
