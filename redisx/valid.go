package redisx

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/skald-go/skald/broker"
)

var (
	errFlow    = errors.New("the flow's name has a line break or a zero byte")
	errText    = errors.New("a name or ID is longer than 65535 bytes")
	errCount   = errors.New("more than 16384 events or messages at once")
	errNext    = errors.New("unknown Next")
	errMessage = errors.New("needs either an Event, or a Start of the saga it is to")
	errAlone   = errors.New("is for another service, and this broker has no Options.Service")
)

const (
	maxText  = math.MaxUint16
	maxCount = 16384
)

func checkStart(s broker.Start) error {
	if strings.ContainsAny(s.Flow, "\x00\n") {
		return errFlow
	}
	if err := checkClaims(s.Claims); err != nil {
		return err
	}
	if len(s.ID) > maxText || len(s.Flow)+20 > maxText-128 || len(s.Parent) > maxText/2 || len(s.Flow)+len(s.Parent) > maxText/2 {
		return errText
	}
	return nil
}

func checkEvent(ev broker.Event) error {
	if len(ev.ID) > maxText || len(ev.Kind) > maxText || len(ev.Name) > maxText {
		return errText
	}
	return nil
}

// checkTransition is checkTransition, also of what only some brokers may send.
func (b *Broker) checkTransition(t broker.Transition) error {
	if err := checkTransition(t); err != nil || b.opts.Service != "" {
		return err
	}
	for _, m := range t.Send {
		if m.Service != "" {
			return fmt.Errorf("message %q %w", m.ID, errAlone)
		}
	}
	return nil
}

// checkTransition finds mistakes before anything is sent.
func checkTransition(t broker.Transition) error {
	if t.Next > broker.Reject {
		return fmt.Errorf("%w %d", errNext, t.Next)
	}
	if len(t.Send) > maxCount || len(t.Consume) > maxCount {
		return errCount
	}
	for _, e := range t.Append {
		if len(e.Path) > maxText {
			return errText
		}
	}
	for _, m := range t.Send {
		if err := checkMessage(m); err != nil {
			return fmt.Errorf("message %q %w", m.ID, err)
		}
	}
	return nil
}

func checkMessage(m broker.Message) error {
	switch {
	case len(m.ID)+len(m.Service)+len(m.To) > maxText/2:
		return errText
	case (m.Start == nil) == (m.Event == nil), m.Start != nil && m.Start.ID != m.To:
		return errMessage
	case m.Start != nil && len(m.Start.Claims) > 0 && (m.Service != "" || m.Start.Refuse):
		return errClaimed
	case m.Start != nil:
		return checkStart(*m.Start)
	}
	return checkEvent(*m.Event)
}
