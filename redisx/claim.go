package redisx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/skald-go/skald/broker"
)

// A saga's keys are in the partitions that their hashes name. It asks for them with its start, and the claim goes from key to key as a message,
// until it waits or comes back as mail. What refuses to wait and has keys elsewhere goes another way, so that nothing is stored if it is refused: the
// keys are held first, for a time, and then the saga is stored, within less than that time. Where a starter dies in between, the keys' partition asks
// that of the saga, and gives up what is held for nobody. See claim.lua.

const (
	maxClaims  = 64
	markLength = 6
)

// The kinds of ops that claims need; apply.lua knows them.
const (
	kindClaimed byte = iota + kindRelay + 1
	kindTry
	kindDrop
	kindConfirm
)

// What a start does if another saga holds a key.
const (
	modeWait byte = iota
	modeRefuse
	modeHeld // all are held for it
	modeAsk  // nothing: whether the ID is free, and until when such a start is accepted
)

const (
	saysStarted = 'D'
	saysLocked  = 'H'
	saysTime    = 'T'
	saysMore    = 'R'
)

var (
	errClaims  = errors.New("claims must be sorted, each once, and at most 64")
	errClaimed = errors.New("starts a saga that claims keys: that waits for them, and is not one of another service")
	errTaken   = errors.New("a saga that claims keys cannot be restored: they belong to where it is")
	errTime    = errors.New("the start took too long: its keys are held no longer")
)

func checkClaims(claims []string) error {
	if len(claims) > maxClaims {
		return errClaims
	}
	for i, key := range claims {
		if len(key) > maxText || i > 0 && claims[i-1] >= key {
			return errClaims
		}
	}
	return nil
}

// keyPartition is the number of the partition that a key is in.
func (b *Broker) keyPartition(key string) int {
	if len(b.parts) == 1 {
		return 0
	}
	return int(xxhash.Sum64String(key) % uint64(len(b.parts)))
}

// claim writes what s claims, as claim.lua reads it. Its mark tells it from the claims of other sagas with its ID, earlier or later; one that is refused rather than
// waits has the mark of its input, so that a repeated start finds what it holds already.
func (b *Broker) claim(s broker.Start) []byte {
	mark := randomName(markLength)
	if s.Refuse {
		mark = string(s.Digest[:markLength])
	}
	c := append(appendText(nil, s.ID), mark...)
	c = binary.BigEndian.AppendUint16(c, uint16(b.partition(s.ID).number))
	c = binary.BigEndian.AppendUint16(c, uint16(len(s.Claims)))
	for _, key := range s.Claims {
		c = binary.BigEndian.AppendUint16(c, uint16(b.keyPartition(key)))
		c = appendText(c, key)
	}
	return c
}

// keyParts are the partitions that a saga has keys in, in order.
func (b *Broker) keyParts(s broker.Start) (parts []*partition) {
	for _, key := range s.Claims {
		parts = append(parts, b.parts[b.keyPartition(key)])
	}
	slices.SortFunc(parts, func(x, y *partition) int { return x.number - y.number })
	return slices.Compact(parts)
}

// startClaiming starts a saga with claims.
func (b *Broker) startClaiming(ctx context.Context, s broker.Start, by *seat) (broker.Started, error) {
	p, parts := b.partition(s.ID), b.keyParts(s)
	x := &claiming{b: b, s: s, by: by, p: p, claim: b.claim(s)}
	switch {
	case !s.Refuse:
		return x.start(ctx, modeWait, make([]byte, 6))
	case len(parts) == 1 && parts[0] == p:
		return x.start(ctx, modeRefuse, make([]byte, 6))
	}
	return x.startAcross(ctx, parts)
}

// claiming is a start with claims that is under way.
type claiming struct {
	b     *Broker
	s     broker.Start
	by    *seat // that owns the saga at once, or nil
	p     *partition
	claim []byte
}

// op makes an op about the claim.
func (x *claiming) op(kind byte) *op {
	o := newOp(kind, x.s.ID, "")
	o.buf = appendBlob(o.buf, x.claim)
	return o
}

// startAcross holds keys of other partitions before it stores the saga.
func (x *claiming) startAcross(ctx context.Context, parts []*partition) (broker.Started, error) {
	late, started, err := x.ask(ctx)
	if err != nil || started.Existed {
		return started, err
	}
	for i, p := range parts {
		if err := x.try(ctx, p); err != nil {
			x.each(ctx, parts[:i], kindDrop)
			return broker.Started{}, err
		}
	}
	started, err = x.start(ctx, modeHeld, late)
	switch {
	case errors.Is(err, errTime), errors.Is(err, broker.ErrOverload):
		x.each(ctx, parts, kindDrop)
	case err == nil && !started.Existed:
		x.each(ctx, parts, kindConfirm)
	}
	return started, err
}

// ask tells until when the saga may be stored, by the server's clock, or that it exists.
func (x *claiming) ask(ctx context.Context) (late []byte, exists broker.Started, err error) {
	o := x.startOp(modeAsk, make([]byte, 6), "")
	if err := x.p.do(ctx, x.p.cold, o); err != nil {
		return nil, exists, err
	}
	defer o.release()
	if o.code == saysExisted {
		exists, err = existed(o, x.s, nil, "")
		return nil, exists, err
	}
	if late = []byte(text(o.details)); o.code != saysTime || len(late) != 6 {
		return nil, exists, errReply
	}
	return late, exists, nil
}

// try holds the keys of one partition.
func (x *claiming) try(ctx context.Context, p *partition) error {
	o := x.op(kindTry)
	if err := p.do(ctx, p.cold, o); err != nil {
		return err
	}
	defer o.release()
	return lockedBy(o)
}

// lockedBy gives the error of an op that says who holds a key.
func lockedBy(o *op) error {
	held := values(o.details)
	switch {
	case o.code == 0:
		return nil
	case o.code != saysLocked || len(held) < 2:
		return errReply
	}
	return &broker.LockedError{Key: text(held[0]), Holder: text(held[1])}
}

// each does something about the claim in some partitions. What fails, those partitions find out by themselves.
func (x *claiming) each(ctx context.Context, parts []*partition, kind byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), relayWait)
	defer cancel()
	ops := make([]*op, len(parts))
	for i, p := range parts {
		ops[i] = x.op(kind)
		p.cold.submit(ops[i])
	}
	for _, o := range ops {
		if o.await(ctx, x.b) == nil {
			o.release()
		}
	}
}

// startOp makes the op of a start.
func (x *claiming) startOp(mode byte, late []byte, token string) *op {
	o := newOp(kindClaimed, x.s.ID, token)
	o.buf = append(append(o.buf, mode), late...)
	o.buf = appendBlob(o.buf, x.claim)
	o.saga(x.s, x.b.node)
	return o
}

// start stores the saga.
func (x *claiming) start(ctx context.Context, mode byte, late []byte) (broker.Started, error) {
	token := ""
	if x.by != nil {
		token, _ = x.by.name()
		x.by.w.begin(x.p, x.s.ID, string(appendOrigin(appendHead(nil, x.s, x.b.node), x.s)))
	} else {
		x.b.watches.expect(x.s.ID)
	}
	o, begun := x.startOp(mode, late, token), time.Now()
	if err := x.p.do(ctx, x.p.cold, o); err != nil {
		x.abandon()
		return broker.Started{}, err
	}
	defer o.release()
	if o.code == saysStarted {
		return x.started(ctx, values(o.details), token, begun)
	}
	if o.code == saysExisted && x.by != nil {
		return existed(o, x.s, x.by, token)
	}
	x.abandon()
	if x.by == nil {
		x.b.watches.forget(x.s.ID)
	}
	switch o.code {
	case saysExisted:
		return existed(o, x.s, nil, "")
	case saysLocked:
		return broker.Started{}, lockedBy(o)
	case saysLate:
		return broker.Started{}, errTime
	}
	return broker.Started{}, says(o.code)
}

// abandon ends a start by a seat without knowing what came of it.
func (x *claiming) abandon() {
	if x.by != nil {
		x.by.abandon(x.s.ID)
	}
}

// started reads the answer to a start that stored the saga, and brings its claim to its first key, if that is elsewhere.
func (x *claiming) started(ctx context.Context, v []any, token string, begun time.Time) (broker.Started, error) {
	if len(v) < 4 {
		x.abandon()
		return broker.Started{}, errReply
	}
	mail, err := parseMail(values(v[2]))
	if err != nil {
		x.abandon()
		return broker.Started{Existed: true, State: broker.State(number(v[0]))}, nil
	}
	if messages := awayFrom(values(v[3])); len(messages) > 0 {
		ctx, cancel := context.WithTimeout(ctx, 2*relayWait)
		_ = x.p.relay(ctx, messages, begun) // what fails is left in the outbox
		cancel()
	}
	started := broker.Started{State: broker.State(number(v[0])), Waits: number(v[1]) == 1}
	switch {
	case x.by == nil:
		return started, nil
	case started.State != broker.Owned: // a start by the dead is queued
		x.by.abandon(x.s.ID)
		x.by.mourn(token, broker.ErrFenced)
		return started, nil
	}
	waits := started.Waits
	started, err = x.by.started(token, x.s.ID, hotLine{}, mail)
	started.Waits = waits && !started.Existed
	return started, err
}

// awayFrom reads messages for other partitions that claims made.
func awayFrom(v []any) (messages []away) {
	for i := 0; i+1 < len(v); i += 2 {
		messages = append(messages, away{text(v[i]), []byte(text(v[i+1]))})
	}
	return messages
}

// spread relays messages that claims made in a batch that was begun then, while others go on.
func (p *partition) spread(messages []away, begun time.Time) {
	p.b.spawn(func() {
		ctx, cancel := context.WithTimeout(p.b.ctx, 2*relayWait)
		defer cancel()
		_ = p.relay(ctx, messages, begun) // what fails is left in the outbox
	})
}

// Claimants implements broker.Broker.
func (b *Broker) Claimants(ctx context.Context, key string, most int) ([]string, error) {
	ids, err := b.claimants(ctx, key, most)
	if err != nil {
		return nil, fmt.Errorf("redisx: look up who claims %q: %w", key, err)
	}
	return ids, nil
}

func (b *Broker) claimants(ctx context.Context, key string, most int) ([]string, error) {
	if err := b.usable(ctx); err != nil || most <= 0 {
		return nil, err
	}
	p := b.parts[b.keyPartition(key)]
	claims, err := ask(ctx, b, func(ctx context.Context) ([]string, error) {
		return b.client.ZRange(ctx, p.prefix+"k:"+key, 0, int64(most)-1).Result()
	})
	ids := make([]string, 0, len(claims))
	for _, c := range claims {
		id, _, ok := cutText(c)
		if !ok {
			return nil, errLine
		}
		ids = append(ids, id)
	}
	return ids, err
}
