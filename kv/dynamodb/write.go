package dynamodb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"vestibule/kv"
)

// change is one write under way.
type change struct {
	name   string // of the item
	value  []byte
	ttl    time.Duration
	remove bool // what is left is a tombstone
	when   kv.Version
	// mark lets a write be known again: the SDK sends a request a second time when the first answer was lost, and then finds
	// its condition broken by itself.
	mark []byte
}

// Put implements kv.Store. The lifetime is kept in whole milliseconds, rounded up.
func (s *Store) Put(ctx context.Context, w kv.Write) (kv.Version, error) {
	if err := w.Check(); err != nil {
		return 0, err
	}
	return s.write(ctx, "put", change{name: entryKey(w.Key), value: w.Value, ttl: w.TTL, when: w.If})
}

// Delete implements kv.Store. What it leaves is a tombstone that keeps the version for an hour.
func (s *Store) Delete(ctx context.Context, key string, expected kv.Version) error {
	if !isKey(key) {
		return nil
	}
	_, err := s.write(ctx, "delete", change{name: entryKey(key), remove: true, when: expected})
	return err
}

// write tries until the condition holds or certainly does not. A condition that fails says not why: the item is read then. It
// may be our own, or one whose version is ahead of our clock, and then the next try goes beyond that.
func (s *Store) write(ctx context.Context, doing string, c change) (kv.Version, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	c.mark = binary.BigEndian.AppendUint64(nil, rand.Uint64())
	floor := kv.Absent
	if c.when != kv.Any {
		floor = c.when
	}
	for turn := 0; ; turn++ {
		now := s.now()
		next := max(kv.Version(max(now.UnixMicro(), 1)), floor+1)
		err := s.put(ctx, c, now, next)
		var broken *types.ConditionalCheckFailedException
		if err == nil {
			return next, nil
		}
		if !errors.As(err, &broken) {
			return 0, s.fault(doing, refusal(err))
		}
		old, err := s.head(ctx, c.name)
		if err != nil {
			return 0, s.fault(doing, err)
		}
		switch {
		case bytes.Equal(old.mark, c.mark):
			return old.version, nil
		case c.remove && !old.lives(now):
			return 0, nil
		case !c.holds(old, now):
			return 0, kv.ErrConflict
		}
		floor = max(floor, old.version)
		if err := pause(ctx, turn); err != nil {
			return 0, s.fault(doing, err)
		}
	}
}

func (c change) holds(old stored, now time.Time) bool {
	switch {
	case c.when == kv.Any:
		return true
	case !old.lives(now):
		return c.when == kv.Absent
	}
	return old.version == c.when
}

// condition is holds in DynamoDB's words, and more: the version grows, so that an attempt that was believed lost and arrives late
// cannot undo what was written since.
func (c change) condition(now time.Time, next kv.Version) (string, item) {
	values := item{":now": number(now.UnixMilli()), ":next": number(next)}
	switch {
	case c.when != kv.Any && (c.when != kv.Absent || c.remove):
		values[":when"] = number(c.when)
		delete(values, ":next") // what is not used is refused
		return "ver = :when AND exp > :now", values
	case c.remove:
		return "ver < :next AND exp > :now", values
	case c.when == kv.Any:
		delete(values, ":now")
		return "attribute_not_exists(pk) OR ver < :next", values
	}
	return "attribute_not_exists(pk) OR (ver < :next AND exp <= :now)", values
}

func (s *Store) put(ctx context.Context, c change, now time.Time, next kv.Version) error {
	it := item{attributeKey: text(c.name), attributeVersion: number(next), attributeMark: raw(c.mark)}
	over := now
	if c.remove {
		it[attributeExpiry] = number(int64(0))
	} else {
		over = now.Add(c.ttl + time.Millisecond - 1)
		it[attributeExpiry] = number(over.UnixMilli())
	}
	it[attributeRemoval] = number(over.Add(keepVersion).Unix())
	if len(c.value) > 0 {
		it[attributeValue] = raw(c.value)
	}
	condition, values := c.condition(now, next)
	_, err := s.client.PutItem(ctx, &awsdynamodb.PutItemInput{
		TableName: &s.table, Item: it, ConditionExpression: &condition, ExpressionAttributeValues: values,
	})
	return err
}

// refusal makes an ErrNoWrites of a write for which there is no throughput or no right: each is given for reads and for writes apart.
func refusal(err error) error {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return err
	}
	switch answer.ErrorCode() {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "AccessDeniedException":
		return fmt.Errorf("%w: %w", kv.ErrNoWrites, err)
	}
	return err
}

// head reads all of an item but its value. The key is among it, so that an item of somebody else is not taken for none.
func (s *Store) head(ctx context.Context, name string) (stored, error) {
	out, err := s.client.GetItem(ctx, &awsdynamodb.GetItemInput{
		TableName: &s.table, Key: itemKey(name), ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("pk, ver, exp, mark"),
	})
	if err != nil {
		return stored{}, err
	}
	return parseItem(out.Item)
}
