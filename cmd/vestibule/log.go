package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"vestibule/config"
)

const (
	// logBuffer and logDelay bound what a crash could take: so many bytes of records below "warn", not older than that.
	logBuffer = 32 << 10
	logDelay  = 250 * time.Millisecond
)

// newLogger writes to w: text for people at a terminal, at once; JSON for everything else, in batches, because one write for
// every request costs more than the record itself. A warning is never held back, and close writes what is left.
func newLogger(cfg *config.Config, w io.Writer) (log *slog.Logger, closeLog func()) {
	options := &slog.HandlerOptions{Level: level(cfg.Log.Level)}
	format := cfg.Log.Format
	terminal := isTerminal(w)
	if format == "" && terminal {
		format = "text"
	}
	closeLog = func() {}
	var batch *batchWriter
	if !terminal {
		batch = newBatchWriter(w)
		w, closeLog = batch, batch.close
	}
	var h slog.Handler = slog.NewJSONHandler(w, options)
	if format == "text" {
		h = slog.NewTextHandler(w, options)
	}
	if batch != nil {
		h = flushing{h, batch}
	}
	return slog.New(h), closeLog
}

func level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(name))); err != nil {
		return slog.LevelInfo
	}
	return l
}

// flushing writes the batch out as soon as a record matters.
type flushing struct {
	slog.Handler
	batch *batchWriter
}

// Handle implements slog.Handler.
func (f flushing) Handle(ctx context.Context, r slog.Record) error {
	err := f.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		f.batch.flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (f flushing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushing{f.Handler.WithAttrs(attrs), f.batch}
}

// WithGroup implements slog.Handler.
func (f flushing) WithGroup(name string) slog.Handler {
	return flushing{f.Handler.WithGroup(name), f.batch}
}

// batchWriter collects writes until the buffer is full or the oldest is logDelay old. What cannot be written is lost, and said so
// as soon as writing works again: a disk that was full for a moment must not silence the log for ever.
type batchWriter struct {
	to    io.Writer
	mu    sync.Mutex
	buf   []byte
	lost  int // records
	timer *time.Timer
}

func newBatchWriter(w io.Writer) *batchWriter {
	b := &batchWriter{to: w, buf: make([]byte, 0, logBuffer)}
	b.timer = time.AfterFunc(logDelay, b.flush)
	b.timer.Stop()
	return b
}

// Write implements io.Writer; p is one record.
func (b *batchWriter) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.buf)+len(p) > logBuffer {
		b.out()
	}
	if len(b.buf) == 0 {
		b.timer.Reset(logDelay)
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}

func (b *batchWriter) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out()
}

// out writes what was collected; the lock is held.
func (b *batchWriter) out() {
	if len(b.buf) == 0 {
		return
	}
	if b.lost > 0 {
		if _, err := fmt.Fprintf(b.to, `{"level":"ERROR","msg":"log records were lost","records":%d}`+"\n", b.lost); err == nil {
			b.lost = 0
		}
	}
	if _, err := b.to.Write(b.buf); err != nil {
		b.lost += bytes.Count(b.buf, []byte("\n"))
	}
	b.buf = b.buf[:0]
}

func (b *batchWriter) close() {
	b.timer.Stop()
	b.flush()
}
