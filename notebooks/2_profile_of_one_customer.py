# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. Profile of one customer
#
# Everything that the tables know of one customer: who, what he did, what he likes more than others do, and what he wrote.

# %%
from attune.session import get_session
from attune.show import customer
from attune.show.workspace import find_workspace
from attune.tables import Tables

workspace = find_workspace("workspace")  # the environment variable ATTUNE_WORKSPACE wins
tables = Tables(workspace, get_session("attune notebooks"))
user = customer.choose_customer(tables, None)  # an id of table users in place of None; None: the best buyer
user

# %%
customer.known(tables, user)

# %% [markdown]
# ## What he did

# %%
actions = customer.actions(tables, user)
customer.plot_actions(actions)

# %%
actions.tail(8)

# %% [markdown]
# ## What he likes
#
# Where the blue dot lies right of the grey one, this customer cares more for the category than others do.

# %%
customer.plot_interests(customer.interests(tables, user))

# %% [markdown]
# ## Among all customers
#
# Each dot tells how many customers have less; the number beside it is his own value.

# %%
customer.plot_standing(customer.standing(tables, user))

# %% [markdown]
# ## What he wrote
#
# `positive` is the probability that the sentiment model gives: it reads the words, not the stars.

# %%
customer.reviews_by(tables, user).head(8)

# %% [markdown]
# ## Try next
#
# - Another customer: put an id in place of `None` above.
# - All features with their formulas: `.venv/bin/attune features`.
# - More groups of like interests: `./spark-submit.sh score --set score.num_segments=10`.
