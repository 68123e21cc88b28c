package dynamodb

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vestibule/kv"
)

// The attributes of an item. A tombstone is an item that expired at the beginning of time.
const (
	attributeKey     = "pk"   // S: see entryKey and messageKey
	attributeValue   = "val"  // B: missing if empty
	attributeVersion = "ver"  // N
	attributeExpiry  = "exp"  // N: Unix milliseconds by the writer's clock; what reads and conditions look at
	attributeMark    = "mark" // B: of the write, see change
	attributeRemoval = "ttl"  // N: Unix seconds; when DynamoDB may remove the item, and only that
)

// keepVersion is how long the version of an entry that is over goes on standing, so that the next is larger even if it is
// written by a clock that is behind.
const keepVersion = time.Hour

// errForeign means that what stands under a key of ours was not written by us.
var errForeign = errors.New("dynamodb: what stands under the key is not an entry of ours")

// item is DynamoDB's form of one: attribute name → value.
type item = map[string]types.AttributeValue

func isKey(key string) bool { return key != "" && len(key) <= kv.MaxKey }

// entryKey keeps entries apart from the feed, and lets keys that are no text, which DynamoDB's strings have to be, be written as text.
func entryKey(key string) string {
	if !utf8.ValidString(key) {
		return "b/" + base64.RawURLEncoding.EncodeToString([]byte(key))
	}
	return "k/" + key
}

func itemKey(name string) item { return item{attributeKey: text(name)} }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func raw(b []byte) types.AttributeValue  { return &types.AttributeValueMemberB{Value: b} }
func number[T int64 | uint64 | kv.Version](n T) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

// stored is an item of ours taken apart.
type stored struct {
	value   []byte
	version kv.Version // Absent: there is no item
	expires int64      // Unix milliseconds
	mark    []byte
}

// lives says whether it is known to anybody but to the next writer.
func (i stored) lives(now time.Time) bool {
	return i.version != kv.Absent && i.expires > now.UnixMilli()
}

func parseItem(it item) (stored, error) {
	if len(it) == 0 {
		return stored{}, nil
	}
	v, errVersion := strconv.ParseUint(numberOf(it[attributeVersion]), 10, 64)
	expires, errExpiry := strconv.ParseInt(numberOf(it[attributeExpiry]), 10, 64)
	value := bytesOf(it[attributeValue])
	if errVersion != nil || errExpiry != nil || v == 0 || len(value) > kv.MaxValue {
		return stored{}, errForeign
	}
	return stored{value: value, version: kv.Version(v), expires: expires, mark: bytesOf(it[attributeMark])}, nil
}

func numberOf(a types.AttributeValue) string {
	if n, is := a.(*types.AttributeValueMemberN); is {
		return n.Value
	}
	return ""
}

func bytesOf(a types.AttributeValue) []byte {
	if b, is := a.(*types.AttributeValueMemberB); is {
		return b.Value
	}
	return nil
}

// entry is the zero Entry for an item that is missing or over.
func (s *Store) entry(it item) (kv.Entry, error) {
	i, err := parseItem(it)
	if err != nil || !i.lives(s.now()) {
		return kv.Entry{}, err
	}
	return kv.Entry{Value: i.value, Version: i.version, Expires: time.UnixMilli(i.expires)}, nil
}

// batch reads items by their names; the empty name is nobody's. What DynamoDB leaves out of its answer, because it is short of
// throughput or the answer is over 16 MB, is asked for again until ctx ends.
func (s *Store) batch(ctx context.Context, names []string) (map[string]item, error) {
	items := make(map[string]item, len(names))
	var left []item // DynamoDB refuses a name that comes twice
	for _, name := range names {
		if _, twice := items[name]; name != "" && !twice {
			items[name] = nil
			left = append(left, itemKey(name))
		}
	}
	for turn := 0; len(left) > 0; turn++ {
		heldBack := func(err error) error {
			if turn == 0 {
				return err
			}
			return fmt.Errorf("%d of %d items were held back: %w", len(left), len(items), err)
		}
		if err := pause(ctx, turn); err != nil {
			return nil, heldBack(err)
		}
		out, err := s.client.BatchGetItem(ctx, &awsdynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
			s.table: {Keys: left, ConsistentRead: aws.Bool(true)},
		}})
		if err != nil {
			return nil, heldBack(err)
		}
		for _, it := range out.Responses[s.table] {
			if name, is := it[attributeKey].(*types.AttributeValueMemberS); is {
				items[name.Value] = it
			}
		}
		left = out.UnprocessedKeys[s.table].Keys
	}
	return items, nil
}

const (
	leastPause = 20 * time.Millisecond
	mostPause  = 200 * time.Millisecond
)

// backoff doubles from turn to turn, and half of it is chance, so that those who were refused together do not come back together.
func backoff(turn int) time.Duration {
	d := min(leastPause<<min(max(turn-1, 0), 8), mostPause)
	return d/2 + rand.N(d/2)
}

// pause waits before every turn but the first.
func pause(ctx context.Context, turn int) error {
	if turn == 0 {
		return nil
	}
	wait := time.NewTimer(backoff(turn))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
