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
# # 5. Recommendations and reasons
#
# What one customer is offered and why, and what all lists are made of.

# %%
from attune.session import get_session
from attune.show import customer, offers
from attune.show.workspace import find_workspace
from attune.tables import Tables

workspace = find_workspace("workspace")  # the environment variable ATTUNE_WORKSPACE wins
tables = Tables(workspace, get_session("attune notebooks"))
user = customer.choose_customer(tables, None)  # an id of table users in place of None; None: the best buyer
user

# %% [markdown]
# ## One list
#
# A reason is told only where the score would be lower without it; the first is the one that it would miss most.

# %%
listed = offers.list_of(tables, user)
offers.plot_list(listed)

# %%
listed

# %% [markdown]
# What a visitor is offered of whom nothing is known:

# %%
offers.list_of(tables, "*")[["rank", "title", "category", "reasons"]]

# %% [markdown]
# ## All lists

# %%
offers.plot_reasons(offers.reasons_given(tables))

# %% [markdown]
# Several sources may propose the same item; a ranking model orders what they propose.

# %%
offers.plot_sources(offers.sources_by_rank(tables))

# %%
offers.plot_mix(offers.mix(tables))

# %% [markdown]
# ## Try next
#
# - More variety: `./spark-submit.sh recommend --set recommend.rerank.diversity=0.3`, then this notebook again; what it costs:
#   `./spark-submit.sh evaluate --set recommend.rerank.diversity=0.3`.
# - A place for new items: `./spark-submit.sh recommend --set 'recommend.rerank.min_exposure={new: 0.1}'`.
# - One customer on the command line: `./spark-submit.sh why USER`.
