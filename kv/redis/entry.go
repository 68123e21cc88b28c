package redis

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"vestibule/kv"
)

//go:embed put.lua
var putScript string

//go:embed delete.lua
var deleteScript string

// headerSize is what stands before the value: version, expiry in Unix milliseconds by the server's clock, and the mark of
// the write, 8 bytes each, big-endian.
const headerSize = 24

// buckets is the number of version counters. A script may only touch keys of one slot of a Cluster, so an entry and its
// counter share a hash tag; with so many of them a cluster's parts are filled evenly.
const buckets = 1 << 12

// errForeign means that what stands under a key of ours was not written by us.
var errForeign = errors.New("redis: what stands under the key is not an entry of ours")

func parseEntry(stored string) (kv.Entry, error) {
	if len(stored) < headerSize || len(stored) > headerSize+kv.MaxValue {
		return kv.Entry{}, errForeign
	}
	b := []byte(stored)
	return kv.Entry{
		Version: kv.Version(binary.BigEndian.Uint64(b)),
		Expires: time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:]))),
		Value:   b[headerSize:],
	}, nil
}

func parseVersion(answer string) (kv.Version, error) {
	if len(answer) != 8 {
		return 0, fmt.Errorf("redis: put: a version of %d bytes, want 8", len(answer))
	}
	return kv.Version(binary.BigEndian.Uint64([]byte(answer))), nil
}

// fixed is n as the scripts compare it: as bytes, because a number in Lua holds 53 bits only.
func fixed(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// milliseconds rounds up: an entry of less than one would be none.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// counterKey is "vestibule:{0a7}"; an entry's key goes on where it ends, with a colon, so the two never meet.
func (s *Store) counterKey(key string) string {
	bucket := crc32.ChecksumIEEE([]byte(key)) % buckets
	return s.prefix + "{" + strconv.FormatUint(uint64(bucket+buckets), 16)[1:] + "}"
}

func (s *Store) entryKey(key string) string { return s.counterKey(key) + ":" + key }
