package main

import (
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/config"
)

// disk takes what is written unless it is full.
type disk struct {
	mu     sync.Mutex
	full   bool
	text   strings.Builder
	writes int
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.full {
		return 0, syscall.ENOSPC
	}
	return d.text.Write(p)
}

func (d *disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// lines are the records as they stand on the disk: message, and how many were lost.
func (d *disk) lines(t *testing.T) []string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for line := range strings.Lines(d.text.String()) {
		var r struct {
			Msg     string
			Level   string
			Records int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("a line that is no JSON: %s", line)
		}
		if strings.Contains(r.Msg, "lost") {
			if r.Level != "ERROR" || r.Records == 0 {
				t.Errorf("got %s, want an error that counts", line)
			}
			out = append(out, r.Msg+" "+string(rune('0'+r.Records)))
			continue
		}
		out = append(out, r.Msg)
	}
	return out
}

func onDisk(d *disk) (log *slog.Logger, closeLog func()) {
	c := &config.Config{}
	c.Log.Level, c.Log.Format = "info", "json"
	return newLogger(c, d)
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A disk that is full for a moment must not silence the log for ever: that is when it is needed.
func TestADiskThatWasFullCostsRecordsAndSaysSo(t *testing.T) {
	for name, write := range map[string]func(*slog.Logger, string){
		"records that are held back":   func(l *slog.Logger, msg string) { l.Info(msg) },
		"records that matter, at once": func(l *slog.Logger, msg string) { l.Warn(msg) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &disk{}
				log, closeLog := onDisk(d)
				say := func(msg string) {
					write(log, msg)
					<-time.After(logDelay + time.Millisecond)
				}
				say("first")
				d.fill(true)
				say("second")
				say("third")
				d.fill(false)
				say("fourth")
				say("fifth")
				closeLog()
				same(t, d.lines(t), "first", "log records were lost 2", "fourth", "fifth")
			})
		})
	}
}

func TestADiskThatIsFullUntilTheEndStopsNothing(t *testing.T) {
	d := &disk{full: true}
	log, closeLog := onDisk(d)
	for range 2000 { // many times what is held back
		log.Info(strings.Repeat("x", 100))
	}
	closeLog()
	same(t, d.lines(t))
	if d.writes == 0 {
		t.Error("nobody tried to write: this proves nothing")
	}
}

func TestRecordsAreWrittenTogetherButSoonAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		log, closeLog := onDisk(d)
		log.Info("one")
		log.Info("two")
		same(t, d.lines(t))
		<-time.After(logDelay + time.Millisecond)
		same(t, d.lines(t), "one", "two")
		if d.writes != 1 {
			t.Errorf("%d writes, want one", d.writes)
		}
		log.Info("three")
		log.Warn("four")
		same(t, d.lines(t), "one", "two", "three", "four")
		log.Info("five")
		closeLog()
		same(t, d.lines(t), "one", "two", "three", "four", "five")
	})
}
