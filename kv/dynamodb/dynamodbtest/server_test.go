package dynamodbtest_test

import (
	"fmt"
	"net"
	"testing"

	"vestibule/kv/dynamodb/dynamodbtest"
)

func TestAClientThatGoesInTheMiddleOfARequestEndsNothing(t *testing.T) {
	s := dynamodbtest.Start(t)
	for range 5 {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\n{", s.Addr()); err != nil {
			t.Fatal(err)
		}
		s.Ask("ListTables", "{}")                             // the server has read the other by now
		if err := c.(*net.TCPConn).SetLinger(0); err != nil { // a reset, as of a process that is killed
			t.Fatal(err)
		}
		_ = c.Close()
		s.Ask("ListTables", "{}")
	}
}
