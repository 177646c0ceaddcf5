"""The subject: which layers learn when, what that costs, and what it does to them."""

# a strategy is registered where its schedule is defined
from altfreeze.freezing import adaptive as adaptive
from altfreeze.freezing import published as published
from altfreeze.freezing import schedules as schedules
from altfreeze.freezing import subsets as subsets
from altfreeze.freezing import written as written
