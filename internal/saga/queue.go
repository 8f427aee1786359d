package saga

// queue holds insts in the order in which they came. Two need no memory of their own.
type queue struct {
	insts []*inst
	head  int // of insts: those before it were taken
	few   [2]*inst
}

func (q *queue) put(i *inst) {
	if q.insts == nil {
		q.insts = q.few[:0]
	}
	q.insts = append(q.insts, i)
}

func (q *queue) empty() bool { return q.head == len(q.insts) }

func (q *queue) first() *inst { return q.insts[q.head] }

func (q *queue) take() *inst {
	i := q.insts[q.head]
	if q.head++; q.empty() {
		q.insts, q.head = q.insts[:0], 0
	}
	return i
}

func (q *queue) waiting() []*inst { return q.insts[q.head:] }
