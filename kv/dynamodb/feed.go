package dynamodb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vestibule/kv"
)

// The feed is one item that counts the messages, and an item for each message under its number. A message costs two writes; who
// listens reads the count.
//
//	Publish: count + 1 = n → item n        Listen: count → items after the last one heard → the listener
const feedKey = "feed"

const (
	pollEvery    = 400 * time.Millisecond // so that a message is heard within a second
	pollAgain    = time.Second            // after a poll that failed
	keepMessages = 10 * time.Minute
	// lateAfter is the silence after which a listener is told to look for itself rather than the messages.
	lateAfter = 2 * time.Second
	// maxBehind is how many messages are read at most; looking for itself is cheaper for a listener then.
	maxBehind = 1000
)

func messageKey(n uint64) string { return feedKey + "/" + strconv.FormatUint(n, 10) }

// Publish implements kv.Feed. A count whose answer was lost may be counted again: then a number is nobody's, and those who listen
// are told that they missed something.
func (s *Store) Publish(ctx context.Context, message []byte) error {
	if err := kv.CheckMessage(message); err != nil {
		return err
	}
	bounded, cancel := s.bounded(ctx) // both calls together: poller.wait relies on it
	defer cancel()
	err := s.publish(bounded, message)
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && bounded.Err() != nil:
		// Not the caller's deadline: nobody may take it for that.
		return fmt.Errorf("dynamodb: publish: %w within %s: %v", kv.ErrUnavailable, s.timeout, err)
	}
	return s.fault("publish", err)
}

func (s *Store) publish(ctx context.Context, message []byte) error {
	counted, err := s.client.UpdateItem(ctx, &awsdynamodb.UpdateItemInput{
		TableName: &s.table, Key: itemKey(feedKey), ReturnValues: types.ReturnValueUpdatedNew,
		UpdateExpression: aws.String("ADD ver :one"), ExpressionAttributeValues: item{":one": number(int64(1))},
	})
	if err != nil {
		return err
	}
	n, err := count(counted.Attributes)
	if err != nil {
		return err
	}
	_, err = s.client.PutItem(ctx, &awsdynamodb.PutItemInput{TableName: &s.table, Item: item{
		attributeKey: text(messageKey(n)), attributeValue: raw(message), attributeRemoval: number(s.now().Add(keepMessages).Unix()),
	}})
	return err
}

// count is 0 before the first message.
func count(it item) (uint64, error) {
	if len(it) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(numberOf(it[attributeVersion]), 10, 64)
	if err != nil {
		return 0, errForeign
	}
	return n, nil
}

// Listen implements kv.Feed by asking every 400 ms.
func (s *Store) Listen(ctx context.Context, l kv.Listener) {
	p := poller{store: s, listener: l, worked: time.Now()}
	for ctx.Err() == nil {
		wait := time.NewTimer(p.poll(ctx))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
	}
}

// poller is one Listen.
type poller struct {
	store    *Store
	listener kv.Listener
	begun    bool
	heard    uint64    // the number of the last message heard
	gap      time.Time // since when the message after it is missing; zero: it is not
	worked   time.Time // when the last poll that worked ended; messages that the listener took its time for are not late
	warned   bool
}

// poll says how long to wait before the next.
func (p *poller) poll(ctx context.Context) time.Duration {
	err := p.catchUp(ctx)
	switch {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		if !p.warned && time.Since(p.worked) > lateAfter {
			p.warned = true
			p.store.log.Warn("what other replicas publish is not heard for now", "error", err)
		}
		return spread(pollAgain)
	}
	if p.warned {
		p.store.log.Info("what other replicas publish is heard again")
	}
	p.worked, p.warned = time.Now(), false
	return spread(pollEvery)
}

// spread takes off up to a fifth, so that replicas that were started together do not ask together.
func spread(d time.Duration) time.Duration { return d - rand.N(d/5) }

// catchUp hears all messages up to the count, or passes over them where the listener had better look for itself.
func (p *poller) catchUp(ctx context.Context) error {
	last, err := p.store.counted(ctx)
	if err != nil {
		return err
	}
	restarted := last < p.heard // the table was made anew
	if !p.begun || restarted || last-p.heard > maxBehind || time.Since(p.worked) > lateAfter {
		p.begun = true
		p.pass(last)
		return nil
	}
	for p.heard < last && ctx.Err() == nil {
		to := min(last, p.heard+kv.MaxKeys)
		messages, err := p.store.messages(ctx, p.heard+1, to)
		if err != nil {
			return err
		}
		for _, message := range messages {
			if message == nil {
				p.wait(last)
				return nil
			}
			p.heard, p.gap = p.heard+1, time.Time{}
			if kv.CheckMessage(message) == nil { // else nobody of ours wrote it
				p.listener.Hear(message)
			}
		}
	}
	return nil
}

// wait gives the next message, which is counted and not there, the time that its publisher has; then it never comes.
func (p *poller) wait(last uint64) {
	switch {
	case p.gap.IsZero():
		p.gap = time.Now()
	case time.Since(p.gap) > p.store.timeout:
		p.pass(last)
	}
}

// pass goes on behind the last message.
func (p *poller) pass(last uint64) {
	p.heard, p.gap = last, time.Time{}
	p.listener.Missed()
}

// counted is the number of the last message.
func (s *Store) counted(ctx context.Context) (uint64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	out, err := s.client.GetItem(ctx, &awsdynamodb.GetItemInput{TableName: &s.table, Key: itemKey(feedKey), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return 0, s.fault("listen", err)
	}
	return count(out.Item)
}

// messages are those from one number to another; nil for one that is not there.
func (s *Store) messages(ctx context.Context, from, to uint64) ([][]byte, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var names []string
	for n := from; n <= to; n++ {
		names = append(names, messageKey(n))
	}
	items, err := s.batch(ctx, names)
	if err != nil {
		return nil, s.fault("listen", fmt.Errorf("messages: %w", err))
	}
	messages := make([][]byte, len(names))
	for i, name := range names {
		messages[i] = bytesOf(items[name][attributeValue])
	}
	return messages, nil
}
