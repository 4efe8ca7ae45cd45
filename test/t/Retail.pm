# A server with the lines of a real shop in shop.line, for tests on real data.
#
# The data is that of "Online Retail" (Daqing Chen, 2015), online_retail.csv.gz
# in the directory that FEATURESTORE_DATA names; without it the test is skipped.
package Retail;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use Test::More;

sub start
{
	my ($name) = @_;
	my $data = ($ENV{FEATURESTORE_DATA} // '') . '/online_retail.csv.gz';
	plan skip_all => 'FEATURESTORE_DATA names no directory with online_retail.csv.gz' if !-r $data;

	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "timezone = 'UTC'\nshared_buffers = 256MB\nmax_wal_size = 2GB\njit = off");
	$node->start;
	$node->safe_psql('postgres', <<"END");
CREATE EXTENSION featurestore;
CREATE SCHEMA shop;
CREATE UNLOGGED TABLE shop.line (invoice text, stock_code text, description text, quantity int, at timestamptz, price numeric, customer numeric, country text);
COPY shop.line FROM PROGRAM 'gzip -dc "$data"' WITH (FORMAT csv, HEADER);
ANALYZE shop.line;
END
	return $node;
}

1;
