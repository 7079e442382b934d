"""Spark: sessions that read public S3, labels at scale, and (in `transformer`) a copy as a stage of a pipeline."""

from urlseq.spark.labels import COMMON_CRAWL, END_OF_TERM, read_table, ship_package, with_answers, write_training_table
from urlseq.spark.session import S3_PACKAGES, bytes_so_far, java_version, s3_jars, session, stop

__all__ = ["COMMON_CRAWL", "END_OF_TERM", "S3_PACKAGES", "bytes_so_far", "java_version", "read_table", "s3_jars",
           "session", "ship_package", "stop", "with_answers", "write_training_table"]  # fmt: skip
